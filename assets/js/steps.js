// Views and filters are steps of the frame's history: Back and Forward walk them without touching the portal's own. The
// frame keeps its address, since it cannot be reloaded by any other; each step remembers what it showed, how many steps
// ago that was first opened (there begins the way back), and by what it was left. A tab opens its list as it was left.
import htmx from 'htmx.org'
import { close, contains, openedBy } from './dialog.js'
import { find } from './dom.js'

const SHOWING = ['view', 'grid', 'agenda', 'history', 'run']
const FRAME_GROWS_MS = 1000
const LISTS = ['/pages', '/runs']
const left = new Map() // tab → the address its list was last shown with
let place = null // by what the step was left that is gone back to
let typing = false // the newest step came from typing: the next letter belongs to it

const shown = () => history.state?.shown
const pathOf = (address) => address.split('?')[0]

// What an answer shows can be asked for again by this address; the answer to an order tells its own.
function addressOf({ request, response: { headers } }) {
  if (request.method !== 'GET') {
    const ofRun = /^(\/runs\/[\w-]{36})\/\w+(\?.*)?$/.exec(request.action) // with where one came from
    return headers.get('Content-Location') ?? headers.get('Location') ?? ofRun?.slice(1).join('')
  }
  const { pathname, searchParams } = new URL(request.action, location.href)
  searchParams.delete('fresh')
  for (const [name, value] of [...searchParams]) if (!value) searchParams.delete(name)
  return [pathname, searchParams].filter(String).join('?')
}

function remember(address) {
  const tab = find('#view > [data-tab]')?.dataset.tab
  if (tab && LISTS.includes(pathOf(address))) left.set(tab, address)
}

// An id by which the place is found again: of a row, or of what was pressed; of a dialog what had opened it.
function leftBy(element) {
  if (contains(element)) return openedBy()
  return element?.closest?.('tr[id], a[id], button[id]')?.id
}

document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
  if (!SHOWING.includes(ctx.target?.id) || ctx.sourceEvent?.type === 'poll') return
  const address = addressOf(ctx)
  if (!address) return
  remember(address)
  const { back } = history.state ?? {} // nothing, where the app began with what is shown
  const goesOn = typing && ctx.sourceEvent?.type === 'input'
  typing = ctx.sourceEvent?.type === 'input'
  if (!shown() || goesOn || ctx.sourceEvent?.detail?.step || address === shown()) {
    history.replaceState({ shown: address, back }, '')
    return
  }
  history.replaceState({ ...history.state, by: leftBy(ctx.sourceEvent?.target) }, '')
  history.pushState({ shown: address, back: pathOf(address) === pathOf(shown()) ? back + 1 : 1 }, '')
})

// Shows an address in the view, as a step that is already there.
export function show(address) {
  find('#view').setAttribute('hx-get', address)
  htmx.trigger('#view', 'repeat', { step: true })
}

// The row or button from which a step was left, once it is there again, where a person looks for it.
export function placeLeft() {
  const found = document.getElementById(place ?? '')
  place = null
  if (!found) return null
  const reveal = () => found.scrollIntoView({ block: 'center' })
  reveal()
  addEventListener('resize', reveal) // the portal makes the frame as tall as the view a moment later
  setTimeout(() => removeEventListener('resize', reveal), FRAME_GROWS_MS)
  return found.localName === 'tr' ? find('a', found) : found
}

export const showAgain = () => show(shown() ?? find('#view').getAttribute('hx-get'))

// What is chosen in the dialog changes what is shown behind it: that is shown anew once the dialog is left.
let isStale = false

function showFresh() {
  if (!isStale || find('#dialog').open) return
  isStale = false
  showAgain()
}

export function showAgainOnceLeft() {
  isStale = true
  showFresh() // the dialog may have been closed before the answer came
}

find('#dialog')?.addEventListener('close', showFresh)

document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
  if (ctx.target?.id === 'view') isStale = false
})

addEventListener('popstate', ({ state }) => {
  if (!state?.shown) return
  close()
  place = state.by
  show(state.shown)
})

const asLeft = (element) => element.closest('#tabs') && left.get(element.dataset.for)

document.addEventListener('htmx:config:request', (event) => {
  const { sourceElement, request } = event.detail.ctx
  if (sourceElement.hasAttribute('data-back') && history.state.back) {
    event.preventDefault()
    return history.go(-history.state.back)
  }
  const address = asLeft(sourceElement)
  if (!address) return
  const fields = new URL(address, location.href).searchParams
  if (new URL(request.action, location.href).searchParams.has('fresh')) fields.set('fresh', '1')
  request.action = `${pathOf(address)}?${fields}`
})
