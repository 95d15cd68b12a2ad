// The automation screen: set up a rule of an app, with the portal's own fields or in the app's own settings frame of
// 350 px (13.3), and fire it.
import { control } from './control.js'
import { news } from './dialogs.js'
import { openFrame } from './frame.js'
import { openSlider } from './slider.js'

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

function field({ name, title, type, multiple, required, choices, default: usual }, values) {
  const value = values[name] ?? usual ?? (multiple ? [] : '')
  const known = { name, required, 'aria-label': title }
  let input
  if (type === 'bool') input = element('input', { type: 'checkbox', name, checked: value === true || value === 'Y' })
  else if (choices.length) input = element('select', { name, multiple }, ...choices.map(([key, text]) => element('option', { value: key, textContent: text, selected: [value].flat().map(String).includes(key) })))
  else input = element('input', { ...known, type: type === 'int' || type === 'double' ? (multiple ? 'text' : 'number') : 'text', value: [value].flat().join(', ') })
  return element('label', { className: 'property' }, element('span', { textContent: title + (multiple ? ' (several: with commas)' : '') }), input)
}

function read(form, properties) {
  const values = {}
  for (const { name, type, multiple, choices } of properties) {
    const input = form.elements[name]
    if (type === 'bool') values[name] = input.checked
    else if (choices.length && multiple) values[name] = [...input.selectedOptions].map((option) => option.value)
    else values[name] = multiple ? input.value.split(',').map((each) => each.trim()).filter(Boolean) : input.value
  }
  return values
}

// rule: the one being changed, none for a new one
function settings(boot, robot, rule) {
  const values = { ...(rule?.values ?? {}) }
  const slider = openSlider({ title: robot.title, width: 760, kind: 'settings' })
  const form = element('form', { className: 'robot-settings' })
  const save = element('button', { type: 'submit', className: 'button', textContent: 'Save' })
  let frame = null
  if (robot.handler) {
    const place = element('div', { className: 'robot-frame' })
    place.style.height = `${boot.automation.height}px`
    form.append(place)
    const options = rule?.options ?? robot.options
    openFrame(place, { user: boot.user, lang: boot.lang, app: robot.app, placement: boot.automation.placement, handler: robot.handler, options, onValues: (given) => Object.assign(values, given) }, { slider }).then((opened) => { frame = opened })
  } else form.append(...robot.properties.map((each) => field(each, values)))
  if (robot.asks_to_wait) form.append(element('label', {}, element('input', { type: 'checkbox', name: 'waits', checked: rule?.waits ?? false }), ' Wait for the answer of the app'))
  form.append(save)
  slider.body.append(form)
  slider.onclose = () => frame?.destroy()
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const kept = robot.handler ? values : read(form, robot.properties)
    try {
      await control.rule({ portal: boot.portal, app: robot.app, user: boot.user, code: robot.code, values: kept, waits: form.elements.waits?.checked ?? false, ...(rule ? { rule: rule.id } : {}) })
      location.reload()
    } catch (problem) { news(problem.message) }
  })
}

export function openAutomation(boot) {
  document.querySelector('main').addEventListener('click', async ({ target }) => {
    const button = target.closest('[data-act]')
    if (!button) return
    const row = button.closest('li')
    const rule = boot.automation.rules.find((each) => String(each.id) === row.dataset.rule)
    const of = rule ?? { app: Number(row.dataset.app), code: row.dataset.code }
    const robot = boot.automation.robots.find((each) => each.app === of.app && each.code === of.code)
    try {
      if (button.dataset.act === 'fire') await control.fire(boot.portal, rule.id, Number(row.querySelector('input').value))
      else if (button.dataset.act === 'remove') await control.removeRule(boot.portal, rule.id)
      else return void settings(boot, robot, rule)
      location.reload()
    } catch (problem) { news(problem.message) }
  })
}
