// What a portal asks or tells a person on behalf of an app: selectors, alerts, short news.
const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

function talk(title, ...content) {
  const dialog = element('dialog', { className: 'talk' }, element('h2', { textContent: title }), ...content)
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
  return dialog
}

const button = (text, className, onclick) => element('button', { type: 'button', textContent: text, className, onclick })

export function alertBox(text) {
  const dialog = talk('Message of the portal', element('p', { textContent: text }), element('div', { className: 'acts' }, button('OK', 'button', () => dialog.close())))
}

export function news(text) {
  const line = element('p', { textContent: text })
  document.getElementById('news').append(line)
  setTimeout(() => line.remove(), 6000)
}

// One of several things by a click, or several by ticks. Closing it without a choice answers nothing, as in a portal.
function choose(title, things, several, chosen) {
  const list = element('ul')
  const ticked = () => [...list.querySelectorAll('input:checked')].map((box) => things[Number(box.value)])
  things.forEach((thing, index) => {
    list.append(element('li', {}, several
      ? element('label', {}, element('input', { type: 'checkbox', value: String(index), checked: Boolean(thing.ticked) }), thing.label)
      : button(thing.label, '', () => { dialog.close(); chosen([thing]) })))
  })
  const acts = element('div', { className: 'acts' }, button('Cancel', 'plain', () => dialog.close()))
  if (several) acts.append(button('Select', 'button', () => { const picked = ticked(); dialog.close(); chosen(picked) }))
  const dialog = talk(title, list, acts)
}

export function chooseUsers(users, several, answer) {
  const things = users.map((user) => ({ label: user.name, value: { id: String(user.id), name: user.name, photo: '', position: user.role ?? '', url: `/company/personal/user/${user.id}/` } }))
  choose(several ? 'Select employees' : 'Select an employee', things, several, (picked) => answer(several ? picked.map((one) => one.value) : picked[0].value))
}

export function chooseAccess(users, value, answer) {
  const rights = [
    { id: 'AU', provider: '', name: 'All authorized users' },
    { id: 'DR1', provider: 'Department', name: 'The whole company' },
    ...users.map((user) => ({ id: `U${user.id}`, provider: 'User', name: user.name })),
  ]
  choose('Select who has access', rights.map((right) => ({ label: right.name, value: right, ticked: value.includes(right.id) })), true, (picked) => answer(picked.map((one) => one.value)))
}

const PREFIX = { lead: 'L', contact: 'C', company: 'CO', deal: 'D', quote: 'Q' }

export function chooseCrm({ entityType, multiple }, answer) {
  const types = [entityType ?? ['contact', 'company']].flat().filter((type) => type in PREFIX)
  const things = types.flatMap((type) => [1, 2].map((id) => ({ label: `${type} ${id}`, value: { id: `${PREFIX[type]}_${id}`, type, place: type, title: `${type} ${id}`, desc: '', url: `/crm/${type}/show/${id}/` } })))
  choose('Select CRM items', things, Boolean(multiple), (picked) => {
    const result = {}
    for (const { value } of picked) (result[value.type] ??= []).push(value)
    answer(result)
  })
}
