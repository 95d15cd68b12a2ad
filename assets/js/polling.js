// A view with data-poll="2" requests itself again every two seconds, until an answer comes without the attribute. Each
// failure doubles the pause; while the page is hidden polling rests.
import htmx from 'htmx.org'
import { find } from './dom.js'

const LONGEST_PAUSE = 30
let timer = null
let backoff = 1

function request() {
  const view = find('[data-poll]')
  if (!view) return
  if (document.hidden) return document.addEventListener('visibilitychange', request, { once: true })
  htmx.trigger(view, 'poll')
}

export function schedulePoll() {
  clearTimeout(timer)
  const view = find('[data-poll]')
  if (view) timer = setTimeout(request, Math.min(LONGEST_PAUSE, Number(view.dataset.poll) * backoff) * 1000)
}

// After a 401 nothing helps but reopening the app, so polling ends.
document.addEventListener('htmx:finally:request', ({ detail: { ctx } }) => {
  if (ctx.sourceEvent?.type !== 'poll') return
  const ok = ctx.response?.status < 400
  backoff = ok ? 1 : backoff * 2
  if (!ok && ctx.response?.status !== 401) schedulePoll()
})
