// One native modal dialog. It opens when a fragment arrives in it, closes when the order it holds has been taken, and
// gives the focus back to the button that opened it.
import { command } from './commands.js'
import { find, findAll } from './dom.js'
import { propose } from './moments.js'

const dialog = find('#dialog')
let opener = null // was disabled while its request ran, so the browser does not know where the focus came from

export function open(button) {
  if (!dialog.contains(button)) opener = button
  if (!dialog.open) dialog.showModal()
  propose(dialog)
  find('[data-focus]', dialog)?.focus()
}

export const close = () => dialog?.open && dialog.close()

dialog?.addEventListener('close', () => {
  dialog.replaceChildren()
  if (opener?.isConnected) opener.focus()
})

command('close-dialog', close)
// The time that was refused is the one nearest to what is suggested in its place.
function refused(suggestion) {
  const distance = (field) => Math.abs(new Date(field.value) - new Date(suggestion))
  return findAll('[name=at], [name=until]').filter((field) => field.value).sort((a, b) => distance(a) - distance(b))[0]
}

command('use-suggestion', (button) => {
  const field = refused(button.dataset.value)
  if (field) field.value = button.dataset.value
  button.closest('.banner').remove()
  field?.focus()
})
