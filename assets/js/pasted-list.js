// A list pasted into the search field, which holds one line only: the dialog for addresses takes it over.
import { find } from './dom.js'

let pasted = ''

const isAddress = (line) => line.includes('.') && line.includes('/')
const isList = (text) => text.includes('\n') && text.split('\n').some(isAddress)

document.addEventListener('paste', (event) => {
  const text = event.clipboardData?.getData('text/plain').trim() ?? ''
  if (event.target.id !== 'q' || !isList(text)) return
  event.preventDefault()
  pasted = text
  find('#paste').click()
})

document.addEventListener('htmx:after:swap', () => {
  const field = find('#dialog #addresses')
  if (!field || !pasted) return
  field.value = pasted
  pasted = ''
  field.closest('dialog').addEventListener('close', () => find('#q')?.focus(), { once: true })
})

document.addEventListener('click', ({ isTrusted, target }) => {
  if (isTrusted && target.closest?.('#paste')) pasted = '' // of a request that failed; this one is for an empty field
})
