// The viewer of the API description: requests that a user tries out are sent with the session of this page, or with an access token.

import { get, getSession } from "./api.js";
import { find, setText } from "./dom.js";

const SAFE_METHODS = ["GET", "HEAD", "OPTIONS"];
const darkScheme = matchMedia("(prefers-color-scheme: dark)");

darkScheme.addEventListener("change", applyColourScheme);
applyColourScheme();
try {
  openViewer(await get("/api/openapi.json"));
} catch (error) {
  setText(find("#api"), error.message);
}

function applyColourScheme() {
  document.documentElement.classList.toggle("dark-mode", darkScheme.matches); // the name that the viewer expects
}

function openViewer(spec) {
  // The viewer's field for the cookie would have no effect: the browser sends the cookie of the session by itself.
  delete spec.components.securitySchemes.session;
  SwaggerUIBundle({
    spec,
    domNode: find("#api"),
    deepLinking: true,
    docExpansion: "none",
    defaultModelRendering: "model",
    defaultModelExpandDepth: 2,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    filter: true,
    validatorUrl: null,
    requestInterceptor: withCsrf,
    plugins: [{ statePlugins: { spec: { wrapSelectors: { allowTryItOutFor: () => (_, path, method) => !isStream(spec, path, method) } } } }],
  });
}

/** Whether the response never ends, so that the viewer would wait for ever. */
function isStream(spec, path, method) {
  return "text/event-stream" in (spec.paths[path]?.[method]?.responses["200"]?.content ?? {});
}

/** Add the value without which the API refuses the changes of a browser's session. */
async function withCsrf(request) {
  if (SAFE_METHODS.includes(request.method.toUpperCase())) return request;
  const { csrf } = await getSession();
  if (csrf !== null) request.headers["X-Borne-CSRF"] = csrf;
  return request;
}
