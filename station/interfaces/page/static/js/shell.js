// Common to all pages: signing out, and scrolling the current page of the navigation into view.

import { remove } from "./api.js";
import { find, runOnClick } from "./dom.js";
import { root } from "./root.js";

find(".places [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

const signOutButton = find("#sign-out");
if (signOutButton !== null) {
  runOnClick(signOutButton, async () => {
    await remove("/api/session");
    location.assign(`${root}/`);
  });
}
