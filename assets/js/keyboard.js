// Keys beside Tab: arrows walk the rows of a list, Escape lets go of the selection, F6 goes between the list and the
// bar of what is selected; in an open dialog Tab goes round.
import { find, findAll } from './dom.js'
import { clearSelection } from './selection.js'

const FIELDS = 'input:not(:disabled):not([type=hidden]), select, textarea'
const FOCUSABLE = `a[href], button:not(:disabled), ${FIELDS}, summary, [tabindex="0"]`
const isSeen = (element) => element.getClientRects().length > 0
const inText = (element) => element.matches('input:not([type=checkbox]):not([type=radio]), select, textarea')

// The same column in the next row, or the first thing there that takes the focus.
function walk(event, step) {
  const row = event.target.closest('tbody tr')
  if (!row || inText(event.target)) return
  const rows = findAll('tr', row.parentElement)
  const next = rows[rows.indexOf(row) + step]
  if (!next) return
  const cell = next.cells[event.target.closest('td')?.cellIndex ?? 0]
  const target = find(FOCUSABLE, cell) ?? find(FOCUSABLE, next)
  target?.focus()
  event.preventDefault()
}

function goRound(event, dialog) {
  const stops = findAll(FOCUSABLE, dialog).filter(isSeen)
  const [first, last] = [stops[0], stops.at(-1)]
  const edge = event.shiftKey ? first : last
  if (document.activeElement !== edge && dialog.contains(document.activeElement)) return
  ;(event.shiftKey ? last : first)?.focus()
  event.preventDefault()
}

function toBarAndBack(event) {
  const bar = find('#bulk:not([hidden])')
  if (!bar) return
  const target = bar.contains(document.activeElement)
    ? find('#grid input[name=lids]:checked') ?? find('#select-all')
    : findAll('.btn-primary', bar).find(isSeen) ?? findAll('.btn', bar).find(isSeen)
  target?.focus()
  event.preventDefault()
}

document.addEventListener('keydown', (event) => {
  const dialog = find('dialog[open]')
  if (dialog) return event.key === 'Tab' && goRound(event, dialog)
  if (event.key === 'ArrowDown') walk(event, 1)
  else if (event.key === 'ArrowUp') walk(event, -1)
  else if (event.key === 'F6') toBarAndBack(event)
  else if (event.key === 'Escape' && event.target.closest('#grid, #bulk')) clearSelection()
})
