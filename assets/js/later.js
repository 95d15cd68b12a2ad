// What is seldom needed: a bundle of its own, fetched with its first use.
import './copy.js'
export { makeSearchable } from './searchable-select.js'
