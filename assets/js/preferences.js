// The dialog of preferences: what is chosen applies at once; times are shown anew when the dialog is left.
import { find } from './dom.js'
import { showAgainOnceLeft } from './steps.js'

let zone = null // as the dialog opened with, or as chosen in it since

document.addEventListener('htmx:after:swap', ({ detail: { ctx } }) => {
  if (ctx.target?.id === 'dialog') zone = find('#own-zone')?.value
})

document.addEventListener('htmx:after:request', ({ detail: { ctx } }) => {
  if (ctx.sourceElement.id !== 'preferences' || ctx.response.status >= 400) return
  document.documentElement.dataset.theme = ctx.request.body.get('theme')
  const chosen = ctx.request.body.get('zone')
  if (chosen === zone) return
  zone = chosen
  showAgainOnceLeft()
})
