// Links of the app are followed by htmx alone: only its requests carry the session, and a frame that followed one
// itself would be lost. The tabs stand in the page before the script, so they get their addresses once htmx listens to
// them; a click on what htmx has yet to take up waits for that.
import { findAll } from './dom.js'

let early = null // the link clicked before htmx listened to it

const isPlain = (event) => event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey
const isHeard = (link) => link.hasAttribute('data-htmx-powered')

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[hx-get]')
  if (!link || !isPlain(event)) return
  event.preventDefault()
  early = isHeard(link) ? null : link
}, true)

document.addEventListener('submit', (event) => {
  if (event.target.matches('[hx-get], [hx-post]')) event.preventDefault()
}, true)

document.addEventListener('htmx:after:process', () => {
  const heard = findAll('#tabs a[data-htmx-powered]:not([href])')
  heard.forEach((link) => (link.href = link.getAttribute('hx-get')))
  const link = early
  early = null
  if (link?.isConnected && isHeard(link)) link.click()
})
