// Common to all pages: signing out, and scrolling the current page of the navigation into view.

import { remove } from "./api.js";
import { acting, find } from "./dom.js";
import { root } from "./root.js";

find(".places [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

const button = find("#sign-out");
if (button !== null) {
  acting(button, async () => {
    await remove("/api/session");
    location.assign(`${root}/`);
  });
}
