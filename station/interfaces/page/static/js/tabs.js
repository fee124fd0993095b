// Tabs: one visible panel, arrow keys to switch, the open tab in the address.

import { show } from "./dom.js";

/** Activate the page's tabs; `opened` is called with the name of each panel that is shown. */
export function tabs(opened) {
  const all = [...document.querySelectorAll("[role=tab]")];
  const nameOf = (tab) => tab.getAttribute("aria-controls");

  function open(tab, focus = false) {
    for (const one of all) {
      one.setAttribute("aria-selected", String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
      show(document.getElementById(nameOf(one)), one === tab);
    }
    if (focus) tab.focus();
    tab.scrollIntoView({ block: "nearest", inline: "center" });
    history.replaceState(null, "", `#${nameOf(tab)}`);
    opened(nameOf(tab));
  }

  for (const [index, tab] of all.entries()) {
    tab.addEventListener("click", () => open(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step !== undefined) open(all.at((index + step) % all.length), true);
    });
  }
  open(all.find((tab) => `#${nameOf(tab)}` === location.hash) ?? all[0]);
}
