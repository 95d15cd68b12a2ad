// Each order is placed once. A dialog that is sent again (double click, lost answer) carries the same Idempotency-Key;
// a changed order gets a new one.
const keys = new WeakMap()

function freshKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  if (ctx.request.method !== 'POST' || ctx.request.action !== '/runs') return
  const order = new URLSearchParams(ctx.request.body).toString()
  if (keys.get(ctx.sourceElement)?.order !== order) keys.set(ctx.sourceElement, { order, key: freshKey() })
  ctx.request.headers['Idempotency-Key'] = keys.get(ctx.sourceElement).key
})
