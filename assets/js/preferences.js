// The dialog of preferences: what is chosen applies at once; times are shown anew when the dialog is left.
import { find } from './dom.js'
import { showAgain } from './steps.js'

let shown = null // the zone in which times are shown
let chosen = null

function showTimes() {
  if (chosen === shown || find('#dialog').open) return
  shown = chosen
  showAgain()
}

document.addEventListener('htmx:after:swap', () => {
  const field = find('#own-zone')
  if (field && shown === null) shown = chosen = field.value
})

document.addEventListener('htmx:after:request', ({ detail: { ctx } }) => {
  if (ctx.sourceElement.id !== 'preferences' || ctx.response.status >= 400) return
  document.documentElement.dataset.theme = ctx.request.body.get('theme')
  chosen = ctx.request.body.get('zone')
  showTimes() // the dialog may have been closed before the answer came
})

find('#dialog')?.addEventListener('close', showTimes)
