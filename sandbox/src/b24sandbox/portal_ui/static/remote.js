// The drawer beside the app: expire, take away, give back, and watch.
import { CallList } from './calls.js'
import { control } from './control.js'
import { watch } from './frame.js'

const SECRET = /^(AUTH_ID|REFRESH_ID|access_token|refresh_token|APPLICATION_TOKEN)$/
const MESSAGES = 40
const PUBLISHER = ['read', 'edit', 'sett', 'public']

const masked = (name, value) => (SECRET.test(name) && typeof value === 'string' ? `${value.slice(0, 4)}…` : value)
const short = (value) => { const text = value === undefined ? '' : JSON.stringify(value, masked); return text.length > 160 ? `${text.slice(0, 160)}…` : text }

export function openRemote(boot) {
  const drawer = document.getElementById('remote')
  const button = document.getElementById('remote-button')
  if (!drawer || !button) return
  const line = drawer.querySelector('#remote-news')
  const site = drawer.querySelector('#remote-site')
  const pressed = (name) => drawer.querySelector(`[data-remote="${name}"]`)
  const names = new Map(boot.described.users.map((user) => [user.id, user.name]))
  const victim = boot.described.users.find((user) => user.id === boot.user && user.role !== 'administrator') // whose right is taken
    ?? boot.described.users.find((user) => user.role === 'editor')
  let portal = null // as the control API says it is

  const scopeGone = () => !boot.app.scope.every((scope) => portal?.scope.includes(scope))
  const rightGone = () => !(portal?.users.find((user) => user.id === victim.id)?.rights[site.value] ?? ['public']).includes('public')
  async function refresh() {
    portal = (await control.state()).portals[boot.portal]
    label()
  }
  function label() {
    pressed('scope').setAttribute('aria-pressed', String(scopeGone()))
    pressed('scope').textContent = scopeGone() ? 'Give the scope back' : 'Take the scope away'
    pressed('right').setAttribute('aria-pressed', String(rightGone()))
    pressed('right').textContent = `${rightGone() ? 'Give it to' : 'Take it from'} ${victim.name}`
  }
  site.addEventListener('change', label)

  const list = new CallList(drawer.querySelector('#remote-calls'), {
    who: (call) => names.get(call.user) ?? '',
    wanted: (call) => call.portal === boot.portal || call.portal === 'oauth',
    most: 30,
  })

  const acts = {
    async expire() {
      await control.expire(boot.portal)
      return 'All access tokens of this portal have expired. The next call answers expired_token; a good app renews and repeats it.'
    },
    async scope() {
      const back = scopeGone()
      await control.scope(boot.portal, back ? boot.app.scope : [])
      return back ? 'The app may use Sites again.' : 'The app has lost the right to use Sites. Every call of landing.* answers insufficient_scope.'
    },
    async right() {
      const back = rightGone()
      await control.rights(boot.portal, victim.id, Number(site.value), back ? PUBLISHER : ['read'])
      const where = `“${site.selectedOptions[0].textContent}”`
      return back ? `${victim.name} may publish on ${where}.` : `${victim.name} may only read ${where} now: unpublishing answers ACCESS_DENIED, publishing answers null without an error.`
    },
    async reset() {
      await control.reset()
      return 'Everything is as at the start. Reload the page to open the app afresh.'
    },
  }

  drawer.addEventListener('click', async ({ target }) => {
    const name = target.closest('[data-remote]')?.dataset.remote
    if (!name) return
    try { line.textContent = await acts[name](); await refresh() } catch (problem) { line.textContent = problem.message }
    list.look()
  })

  let started = false
  const show = (open) => {
    drawer.hidden = !open
    button.setAttribute('aria-expanded', String(open))
    document.body.classList.toggle('remote-open', open)
    if (open && !started) { started = true; list.start() }
    list.paused = !open
    if (open) refresh().catch((problem) => { line.textContent = problem.message })
    if (!open) button.focus()
  }
  button.addEventListener('click', () => show(drawer.hidden))
  drawer.querySelector('.remote-close').addEventListener('click', () => show(false))

  const messages = drawer.querySelector('#remote-messages')
  watch((note) => {
    const item = document.createElement('li')
    const [name, rest, fate] = ['b', 'code', 'span'].map((tag) => document.createElement(tag))
    name.textContent = note.command
    rest.textContent = note.later ? `→ ${short(note.answer)}` : short(note.params)
    fate.textContent = note.fate
    item.append(name, rest, fate)
    messages.prepend(item)
    while (messages.childElementCount > MESSAGES) messages.lastElementChild.remove()
  })
}
