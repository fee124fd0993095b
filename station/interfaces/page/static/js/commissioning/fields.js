// Converts the fields of a form to values and back. A name with dots is a path; hidden parts are ignored.

/** The values entered: numbers as numbers, checkboxes as true or false; empty fields are omitted. */
export function enteredValues(form) {
  const values = {};
  for (const [field, value] of fieldValues(form)) if (value !== null) setAt(values, field.name.split("."), value);
  return values;
}

/** The enabled fields with their values; null: empty. */
export function fieldValues(form) {
  return [...form.elements]
    .filter((field) => field.name !== "" && !field.disabled && (field.type !== "radio" || field.checked))
    .map((field) => [field, valueOf(field)]);
}

function valueOf(field) {
  if (field.type === "checkbox") return field.checked;
  const text = field.value.trim();
  if (text === "") return null;
  return field.type === "number" || field.dataset.number !== undefined ? Number(text) : text;
}

/** Put a value at a path of keys; numbers are list indices. */
export function setAt(tree, path, value) {
  const [key, ...rest] = path;
  if (rest.length === 0) tree[key] = value;
  else setAt((tree[key] ??= /^\d+$/.test(rest[0]) ? [] : {}), rest, value);
}

/** The value at a path; undefined if there is none. */
export const valueAt = (tree, path) => path.reduce((part, key) => part?.[key], tree);

/**
 * Show and enable the parts of a form that match the selected values, now and at each change:
 * `data-when="name=value|other …"`, `data-unless`. Returns the function that does it, for values set by a script.
 */
export function activateConditions(form) {
  const matches = (condition) =>
    condition.split(" ").every((term) => {
      const [name, accepted] = term.split("=");
      const selectedField = [...form.elements].find((field) => field.name === name && (field.type !== "radio" || field.checked));
      return accepted.split("|").includes(selectedField?.value ?? "");
    });
  const applyConditions = () => {
    for (const part of form.querySelectorAll("[data-when], [data-unless]")) {
      const { when, unless } = part.dataset;
      part.hidden = !(when === undefined || matches(when)) || (unless !== undefined && matches(unless));
    }
    for (const field of form.elements) field.disabled = field.closest("[hidden]:is([data-when], [data-unless])") !== null;
  };
  form.addEventListener("change", applyConditions);
  applyConditions();
  return applyConditions;
}
