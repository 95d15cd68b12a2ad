// The dialog of preferences: what is chosen applies at once; times are shown anew when the dialog is left.
import { find } from './dom.js'
import { showAgain } from './steps.js'

let zone = null // as the dialog opened with
let chosen = null

document.addEventListener('htmx:after:swap', () => {
  const field = find('#own-zone')
  if (field && chosen === null) zone = chosen = field.value
})

document.addEventListener('htmx:after:request', ({ detail: { ctx } }) => {
  if (ctx.sourceElement.id !== 'preferences' || ctx.response.status >= 400) return
  document.documentElement.dataset.theme = ctx.request.body.get('theme')
  chosen = ctx.request.body.get('zone')
})

find('#dialog')?.addEventListener('close', () => {
  if (chosen !== zone) showAgain()
  zone = chosen = null
})
