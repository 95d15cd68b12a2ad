// A view that says data-poll="2" is asked for again every two seconds, until it comes without. Trouble makes the pauses
// longer; while nobody looks at the page it rests.
import htmx from 'htmx.org'
import { find } from './dom.js'

const LONGEST = 30
let timer = null
let pause = 1

function ask() {
  const view = find('[data-poll]')
  if (!view) return
  if (document.hidden) return document.addEventListener('visibilitychange', ask, { once: true })
  htmx.trigger(view, 'poll')
}

export function poll() {
  clearTimeout(timer)
  const view = find('[data-poll]')
  if (view) timer = setTimeout(ask, Math.min(LONGEST, Number(view.dataset.poll) * pause) * 1000)
}

// 401: only a person can go on from here.
document.addEventListener('htmx:finally:request', ({ detail: { ctx } }) => {
  if (ctx.sourceEvent?.type !== 'poll') return
  const well = ctx.response?.status < 400
  pause = well ? 1 : pause * 2
  if (!well && ctx.response?.status !== 401) poll()
})
