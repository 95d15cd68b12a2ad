// Ready-made times beside a time field, computed in the time zone that the form names.
import { command } from './commands.js'
import { find, findAll } from './dom.js'
import { sendWithRefresh } from './session-refresh.js'

const FRIDAY = 5

const FIXED = /^([+-])(\d\d):(\d\d)$/ // an offset as a zone, which not every browser knows

// The wall clock of the zone, as a Date whose UTC fields read like that clock.
function wallClock(zone) {
  const [, sign, hours, minutes] = FIXED.exec(zone) ?? []
  if (sign) return new Date(Date.now() + (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60000)
  return new Date(`${new Date().toLocaleString('sv-SE', { timeZone: zone }).replace(' ', 'T')}Z`)
}

function at(wall, days, hours, minutes) {
  return new Date(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth(), wall.getUTCDate() + days, hours, minutes))
}

const presets = {
  tonight: (wall) => at(wall, 0, 23, 59),
  friday: (wall) => at(wall, (FRIDAY - wall.getUTCDay() + 7) % 7, 18, 0),
  'month-end': (wall) => new Date(Date.UTC(wall.getUTCFullYear(), wall.getUTCMonth() + 1, 0, 23, 59)),
}

// The time a button stands for, or null once it has passed, or while nobody knows the zone.
function presetTime(button) {
  const { zone } = button.closest('[data-zone]').dataset
  if (!zone) return null
  const wall = wallClock(zone)
  const time = presets[button.dataset.preset](wall)
  return time > wall ? time : null
}

function fill(field, time) {
  field.value = time.toISOString().slice(0, 16)
  field.dispatchEvent(new Event('change', { bubbles: true }))
}

// Hides times that have passed. Where a time is required, the first one left is filled in.
export function offerPresets(root) {
  const buttons = findAll('[data-preset]', root)
  buttons.forEach((button) => (button.hidden = !presetTime(button)))
  const first = buttons.find((button) => !button.hidden)
  const field = first && find(`[name=${first.dataset.field}]:required`, first.form)
  if (field && !field.value) fill(field, presetTime(first))
}

command('preset', (button) => {
  const field = find(`[name=${button.dataset.field}]`, button.form)
  fill(field, presetTime(button))
  field.focus()
})

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
