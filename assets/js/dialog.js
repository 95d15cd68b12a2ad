// The one native modal dialog. It opens when a fragment is swapped into it, closes once the order in it was accepted,
// and returns the focus to the button that opened it.
import { command } from './commands.js'
import { find } from './dom.js'

const dialog = find('#dialog')
let opener = null // it was disabled during its request, so the browser does not know where the focus came from

export function open(button) {
  if (!dialog.contains(button)) opener = button
  if (!dialog.open) dialog.showModal()
  find('[data-focus]', dialog)?.focus()
}

export const openedBy = () => opener?.id
export const close = () => dialog?.open && dialog.close()
export const contains = (element) => dialog.contains(element)

dialog?.addEventListener('close', () => {
  dialog.replaceChildren()
  if (opener?.isConnected) opener.focus()
})

command('close-dialog', close)
