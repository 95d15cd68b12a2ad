// People and rights: who may do what, whose tokens still live, and what the administrator has granted the app.
const CODES = ['read', 'edit', 'sett', 'public']
const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}
const row = (title, words, ...controls) => element('div', { className: 'row' }, element('div', {}, element('b', { textContent: title }), element('p', { textContent: words })), element('div', { className: 'row-acts' }, ...controls))
const button = (textContent, onclick) => element('button', { type: 'button', className: 'outlined', textContent, onclick })

// portal: one of the control API's state; scopes: what the app's card asks for
export function people(portal, scopes, control, index, act) {
  const granted = portal.scope ?? []
  const whole = scopes.every((scope) => granted.includes(scope))
  return [
    row('Access tokens', 'An hour after it was issued, or now: the next call answers expired_token (401). Renew once, repeat the call.',
      button('Expire all', () => act(() => control.expire(index), 'All access tokens of this portal have expired.'))),
    row(`Scope: ${granted.join(', ') || 'none'}`, 'What the administrator lets the app use. Without landing every call of Sites answers insufficient_scope, and a renewed token is no better.',
      whole ? button('Take away', () => act(() => control.scope(index, []), 'The scope is taken away.')) : button('Give back', () => act(() => control.scope(index, scopes), 'The scope is given back.'))),
    ...portal.users.filter((user) => !user.admin).map((user) => person(user, portal, control, index, act)),
    row('The app on this portal', portal.installed ? 'Removing it kills all tokens and sends ONAPPUNINSTALL once, without a retry.' : 'Not installed: an administrator installs it from the Market.',
      ...(portal.installed ? [button('Remove', () => act(() => control.uninstall(index, false), 'Removed; its data may stay.')), button('Remove with data', () => act(() => control.uninstall(index, true), 'Removed, with CLEAN=1.'))] : [button('Install', () => act(() => control.install(index), 'Installed; open the portal to run its installer.'))])),
  ]
}

function person(user, portal, control, index, act) {
  const dismiss = user.active
    ? button('Dismiss', () => act(() => control.user(index, user.id, { active: false }), `${user.name} is dismissed.`))
    : button('Take back', () => act(() => control.user(index, user.id, { active: true }), `${user.name} is back.`))
  const forbid = user.may_use_app
    ? button('Forbid the app', () => act(() => control.user(index, user.id, { may_use_app: false }), `${user.name} may not use the app: user_access_error.`))
    : button('Allow the app', () => act(() => control.user(index, user.id, { may_use_app: true }), `${user.name} may use the app again.`))
  const made = row(`${user.name}, ${user.role}`, user.active ? 'Dismissed people’s tokens answer authorization_error; what they planned waits for somebody to take it over.' : 'Dismissed: their tokens answer authorization_error.',
    button('Expire', () => act(() => control.expire(index, user.id), `${user.name}’s access tokens have expired.`)), forbid, dismiss)
  made.classList.toggle('changed', !user.active || !user.may_use_app)
  made.append(rights(user, portal, control, index, act))
  return made
}

// The right to publish, site by site. Without it unpublishing answers ACCESS_DENIED, and publishing answers null.
function rights(user, portal, control, index, act) {
  const boxes = portal.sites.map((site) => {
    const codes = user.rights?.[site.id] ?? []
    const box = element('input', { type: 'checkbox', checked: codes.includes('public') })
    box.addEventListener('change', () => act(() => control.rights(index, user.id, site.id, box.checked ? CODES : ['read']), `${user.name} may ${box.checked ? 'publish on' : 'only read'} “${site.title}”.`))
    return element('label', {}, box, site.title)
  })
  return element('details', { className: 'rights' }, element('summary', { textContent: 'May publish on…' }), ...boxes)
}
