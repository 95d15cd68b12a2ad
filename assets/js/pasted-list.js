// A list pasted into the search field, which holds one line only: the dialog for addresses takes it over.
import { find } from './dom.js'

let pasted = ''

document.addEventListener('paste', (event) => {
  const text = event.clipboardData?.getData('text/plain').trim() ?? ''
  if (event.target.id !== 'q' || !text.includes('\n')) return
  event.preventDefault()
  pasted = text
  find('#paste').click()
})

document.addEventListener('htmx:after:swap', () => {
  const field = find('#dialog #addresses')
  if (!field || !pasted) return
  field.value = pasted
  pasted = ''
})
