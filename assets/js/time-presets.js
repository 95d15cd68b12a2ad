// The zone in which times are chosen. What the fields themselves need comes with the first form that has some; a button
// pressed before waits for it.
import { carryOut, command } from './commands.js'
import { find } from './dom.js'
import { sendWithRefresh } from './session-refresh.js'
import { showAgainOnceLeft } from './steps.js'

const schedule = () => import('./schedule.js')

export async function offerPresets(root) {
  if (find('.times, .shift', root)) (await schedule()).offerPresets(root)
}

for (const name of ['preset', 'use-time']) {
  command(name, (button) => schedule().then(() => button.isConnected && carryOut(name, button)))
}

const prefer = (choice) => sendWithRefresh('/preferences', { method: 'PUT', body: new URLSearchParams(choice) })

// The browser's zone, for people whose portal names none: stored for them, and named by the page until it is. The
// server knows every other zone, and where it was changed meanwhile.
let unstored = document.body.dataset.zone === '' ? Intl.DateTimeFormat().resolvedOptions().timeZone : null

async function store() {
  const { ok } = await prefer({ browser_zone: unstored })
  if (ok) unstored = null
}

if (unstored) store()

// A zone that a person chooses is theirs from now on; the dialog is then asked for again, in that zone.
document.addEventListener('change', async ({ target }) => {
  if (!target.matches('[data-zone-choice]')) return
  await prefer({ zone: target.value })
  showAgainOnceLeft()
  unstored = null
  target.dispatchEvent(new Event('zone-kept', { bubbles: true }))
})

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  const { body, action } = ctx.request
  if (unstored && action === '/runs/preview' && !body.get('zone')) body.set('zone', unstored)
})
