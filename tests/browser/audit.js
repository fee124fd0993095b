// Checks the accessibility of a page: contrast, labels, sizes and keyboard; returns the problems as sentences.
() => {
  const problems = [];
  const isVisible = (element) => element.checkVisibility({ checkOpacity: false, checkVisibilityCSS: true });
  const describe = (element) => element.outerHTML.slice(0, 90).replace(/\s+/g, " ");

  // Colours as [r, g, b, a], whatever syntax the style has them in
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const blend = (top, under) => [0, 1, 2].map((channel) => top[channel] * top[3] + under[channel] * (1 - top[3])).concat(1);
  const background = (element) => {
    if (element === null) return rgba(getComputedStyle(document.documentElement).getPropertyValue("--bg"));
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : blend(own, background(element.parentElement));
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((part) => (part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (foreground, backdrop) => {
    const [dark, bright] = [luminance(foreground), luminance(backdrop)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };

  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!text || !isVisible(element) || element.closest("template, svg, .unseen, .skip, option, [disabled]")) continue;
    const style = getComputedStyle(element);
    const under = background(element);
    const measured = contrast(blend(rgba(style.color), under), under);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700);
    if (measured < (large ? 3 : 4.5)) problems.push(`contrast ${measured.toFixed(2)}: ${describe(element)}`);
  }

  for (const field of document.querySelectorAll("input, select, textarea")) {
    if (isVisible(field) && field.labels.length === 0 && !field.ariaLabel && !field.getAttribute("aria-labelledby")) {
      problems.push(`no label: ${describe(field)}`);
    }
  }
  for (const element of document.querySelectorAll("button, a[href], summary")) {
    if (!isVisible(element) || element.closest("template")) continue;
    const accessibleName = element.ariaLabel || element.textContent.trim() || element.querySelector("img[alt]")?.alt;
    if (!accessibleName) problems.push(`no name: ${describe(element)}`);
    const { width, height } = element.getBoundingClientRect();
    const inline = getComputedStyle(element).display === "inline";
    if (!inline && width > 1 && (width < 24 || height < 32)) problems.push(`too small to touch: ${describe(element)}`);
    if (element.tabIndex < 0 && element.getAttribute("role") !== "tab") problems.push(`no keyboard: ${describe(element)}`);
  }
  for (const image of document.querySelectorAll("img:not([alt])")) problems.push(`no alt: ${describe(image)}`);

  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((value, index) => ids.indexOf(value) !== index))) problems.push(`id twice: ${id}`);
  for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby], [aria-controls]")) {
    for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
      for (const id of (element.getAttribute(attribute) ?? "").split(" ").filter(Boolean)) {
        if (document.getElementById(id) === null) problems.push(`${attribute} of nobody: ${describe(element)}`);
      }
    }
  }
  if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    if (heading.closest("main, nav, header, footer, dialog, template") === null) problems.push(`heading outside a landmark: ${describe(heading)}`);
  }
  if (!document.documentElement.lang) problems.push("no language");
  if (document.querySelector("main") === null) problems.push("no main");
  const excess = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (excess > 0) problems.push(`wider than the screen by ${excess} px`);
  return problems;
}
