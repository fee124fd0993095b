// Tabs: one visible panel, arrow keys to switch, the open tab in the address.

import { show } from "./dom.js";

/** Activate the page's tabs; `onOpen` is called with the name of each panel that is opened. */
export function activateTabs(onOpen) {
  const tabElements = [...document.querySelectorAll("[role=tab]")];
  const nameOf = (tab) => tab.getAttribute("aria-controls");

  function openTab(selected, focus = false) {
    for (const tab of tabElements) {
      tab.setAttribute("aria-selected", String(tab === selected));
      tab.tabIndex = tab === selected ? 0 : -1;
      show(document.getElementById(nameOf(tab)), tab === selected);
    }
    if (focus) selected.focus();
    selected.scrollIntoView({ block: "nearest", inline: "center" });
    history.replaceState(null, "", `#${nameOf(selected)}`);
    onOpen(nameOf(selected));
  }

  for (const [index, tab] of tabElements.entries()) {
    tab.addEventListener("click", () => openTab(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step !== undefined) openTab(tabElements.at((index + step) % tabElements.length), true);
    });
  }
  openTab(tabElements.find((tab) => `#${nameOf(tab)}` === location.hash) ?? tabElements[0]);
}
