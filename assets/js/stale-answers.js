// Requests for the view and for the dialog race each other. The newest one is what the person wants to see: an answer
// to an older one is stale once a newer one is under way or on the screen. A request that failed supersedes nothing.
const requests = new Map() // request context → { number, place, shown } of what is under way or on the screen
let issued = 0

const placeOf = (ctx) => ['view', 'dialog'].find((id) => ctx.target?.id === id)

// A new view also replaces a dialog that was asked for before it; a new dialog leaves the view alone.
const supersedes = (later, earlier) =>
  later.number > earlier.number && (later.place === 'view' || earlier.place === 'dialog')

export function isStale(ctx) {
  const own = requests.get(ctx)
  return own !== undefined && [...requests.values()].some((other) => supersedes(other, own))
}

// Whether another answer for the view is still to come.
export const isViewPending = (except) =>
  [...requests].some(([ctx, { place, shown }]) => ctx !== except && place === 'view' && !shown)

// Whether the person waits for a view or a dialog: what comes by itself does not get in between.
export const isPending = () => [...requests.values()].some(({ shown }) => !shown)

document.addEventListener('htmx:before:request', ({ detail: { ctx } }) => {
  const place = placeOf(ctx)
  if (place) requests.set(ctx, { number: ++issued, place, shown: false })
})

document.addEventListener('htmx:after:request', (event) => {
  const { ctx } = event.detail
  if (ctx.response.status < 400 && isStale(ctx)) event.preventDefault() // no swap
})

document.addEventListener('htmx:finally:request', ({ detail: { ctx } }) => {
  const own = requests.get(ctx)
  if (!own) return
  own.shown = ctx.status === 'swapped'
  if (!own.shown) requests.delete(ctx)
  else requests.forEach((other, older) => other.shown && supersedes(own, other) && requests.delete(older))
})
