// The zone in which times are chosen. What the fields themselves need comes with the first form that has some; a button
// pressed before waits for it.
import { carryOut, command } from './commands.js'
import { find } from './dom.js'
import { sendWithRefresh } from './session-refresh.js'

const schedule = () => import('./schedule.js')

export async function offerPresets(root) {
  if (find('.times, .shift', root)) (await schedule()).offerPresets(root)
}

for (const name of ['preset', 'use-time']) {
  command(name, (button) => schedule().then(() => button.isConnected && carryOut(name, button)))
}

// The browser's zone, for people whose portal names none: stored for them, and used at once.
const storedZone = document.body.dataset.zone
const zone = storedZone || Intl.DateTimeFormat().resolvedOptions().timeZone

const prefer = (choice) => sendWithRefresh('/preferences', { method: 'PUT', body: new URLSearchParams(choice) })

if (storedZone === '') prefer({ browser_zone: zone })

// A zone that a person chooses is theirs from now on; the dialog is then asked for again, in that zone.
document.addEventListener('change', async ({ target }) => {
  if (!target.matches('[data-zone-choice]')) return
  await prefer({ zone: target.value })
  target.dispatchEvent(new Event('zone-kept', { bubbles: true }))
})

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  const { body, action } = ctx.request
  if (action === '/runs/preview' && !body.get('zone')) body.set('zone', zone)
})
