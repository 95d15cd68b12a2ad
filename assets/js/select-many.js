// Selecting many pages at once: a range by Shift, and all that match.
import { command } from './commands.js'
import { find } from './dom.js'
import { ask } from './notices.js'
import { boxes, choose, MAX_PAGES, remember } from './selection.js'

let lastBox = null

// Shift extends the last click over the rows between, as in Bitrix24's own lists.
function extend(box) {
  const all = boxes()
  if (!all.includes(lastBox)) return
  const [from, to] = [all.indexOf(lastBox), all.indexOf(box)].sort((a, b) => a - b)
  all.slice(from, to + 1).forEach((between) => {
    between.checked = box.checked
    remember(between)
  })
}

document.addEventListener('click', (event) => {
  const box = event.target.closest?.('#grid input[name=lids]')
  if (!box) return
  if (event.shiftKey) extend(box)
  lastBox = box
})

command('select-matching', async (button) => {
  const query = new URLSearchParams(new FormData(find('#filters')))
  query.set('ids_only', '1')
  const answer = await ask(`/pages?${query}`, 'application/json', button)
  if (!answer) return
  const { lids } = await answer.json()
  const published = { published: true, unpublished: false }[query.get('status')] ?? null
  choose(lids.slice(0, MAX_PAGES).map((lid) => [String(lid), published]))
})
