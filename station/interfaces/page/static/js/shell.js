// What every page has: signing out, and the place of the navigation that is open in sight.

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
