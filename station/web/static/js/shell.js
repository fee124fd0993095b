// What every page has: signing out.

import { remove } from "./api.js";
import { acting, find } from "./dom.js";

const button = find("#sign-out");
if (button !== null) {
  acting(button, async () => {
    await remove("/api/session");
    location.assign("/");
  });
}
