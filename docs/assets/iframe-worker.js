// Browsers start no worker for a page that is opened as a file. The search of the documentation runs in one: it gets a
// frame of the same page instead.
"use strict";

class IframeWorker extends EventTarget {
  constructor(url) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    const scope = frame.contentWindow;
    scope.postMessage = data => this.#receive(data);
    scope.importScripts = (...urls) =>
      urls.reduce((previous, script) => previous.then(() => loadScript(scope.document, script)), Promise.resolve());
    this.onmessage = null;
    this.frame = frame;
    this.loaded = loadScript(scope.document, url);
  }

  postMessage(data) {
    const scope = this.frame.contentWindow;
    this.loaded.then(() => scope.dispatchEvent(new MessageEvent("message", { data })));
  }

  terminate() {
    this.frame.remove();
  }

  #receive(data) {
    const event = new MessageEvent("message", { data });
    this.dispatchEvent(event);
    if (this.onmessage) this.onmessage(event);
  }
}

function loadScript(page, url) {
  return new Promise((resolve, reject) => {
    const script = page.createElement("script");
    script.src = new URL(url, document.baseURI);
    script.onload = resolve;
    script.onerror = reject;
    page.body.append(script);
  });
}

if (location.protocol === "file:") window.Worker = IframeWorker;
