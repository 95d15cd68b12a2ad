// Shorthands for querying the document.
export const find = (selector, root = document) => root.querySelector(selector)
export const findAll = (selector, root = document) => [...root.querySelectorAll(selector)]
export const meta = (name) => find(`meta[name="${name}"]`)
