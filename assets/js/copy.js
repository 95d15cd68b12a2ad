// Puts a text on the clipboard. In a frame of another origin the newer interface is only there where the portal allows
// it, so the text is selected in a field of its own where that fails.
import { command } from './commands.js'
import { find } from './dom.js'

const SHOWN_MS = 2000

function copySelected(text) {
  const field = Object.assign(document.createElement('textarea'), { value: text, className: 'sr' })
  document.body.append(field)
  field.select()
  const copied = document.execCommand('copy')
  field.remove()
  return copied
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copySelected(text)
  }
}

command('copy', async (button) => {
  const { done, notDone } = button.closest('[data-done]').dataset
  const copied = await copy(button.previousElementSibling.getAttribute('href'))
  button.focus()
  find('#live').textContent = copied ? done : notDone
  button.dataset.said = copied ? done : notDone
  setTimeout(() => delete button.dataset.said, SHOWN_MS)
})
