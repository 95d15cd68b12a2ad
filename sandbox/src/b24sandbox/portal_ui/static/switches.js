// One switch of a portal as a row: a name, the sentence on what a real portal does then, and the control for its kind.
export const MAIN = ['rest_in_plan', 'payment_expired', 'deleted', 'overload', 'offline', 'app_active', 'sites_for_admins_only', 'bucket', 'operating_limit', 'publish_refusal', 'self_hosted']

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

export function switchRow({ name, title = name.replaceAll('_', ' '), value, default: usual, words, choices }, change) {
  const label = element('div', {}, element('b', { textContent: title, id: `s-${name}` }), element('p', { textContent: words }))
  const row = element('div', { className: `row${value === usual ? '' : ' changed'}` }, label)
  row.append(typeof value === 'boolean' ? toggle(name, value, change) : choices.length ? select(name, value, choices, change) : field(name, value, change))
  return row
}

function toggle(name, value, change) {
  const button = element('button', { type: 'button', role: 'switch', className: 'toggle', ariaChecked: String(value), onclick: () => change(!value) })
  button.setAttribute('aria-labelledby', `s-${name}`)
  return button
}

function select(name, value, choices, change) {
  const list = element('select', { onchange: ({ target }) => change(target.value) }, ...choices.map((choice) => element('option', { value: choice, textContent: choice, selected: choice === value })))
  list.setAttribute('aria-labelledby', `s-${name}`)
  return list
}

function field(name, value, change) {
  const number = typeof value === 'number'
  const input = element('input', { type: number ? 'number' : 'text', defaultValue: String(value), placeholder: number ? '0' : 'none' })
  input.addEventListener('change', () => {
    input.defaultValue = input.value
    change(number ? Number(input.value) : input.value)
  })
  input.setAttribute('aria-labelledby', `s-${name}`)
  return input
}
