// The Bitrix24 window around the app, through the official SDK. The SDK is a bundle of its own, the largest: it is
// fetched after the first paint, and where a list is on its way, behind that, unless the list needs what the portal
// gives. All functions return null when there is no portal or it does not answer: the page works without it.
import { find } from './dom.js'

const TIMEOUT = 5000 // the SDK itself waits forever
const LONGEST_FOR_LIST = 1000

const inPortal = () => window.parent !== window && window.name.split('|').length === 3
const nullAfter = (ms) => new Promise((resolve) => setTimeout(resolve, ms, null))
const nextFrame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))
export const painted = () => Promise.race([nextFrame(), nullAfter(500)])

let hurry // somebody waits for the portal: no list comes before it
const hurried = new Promise((resolve) => (hurry = resolve))

function listed() {
  const view = find('#view[aria-busy]')
  const shown = (done) => new MutationObserver(done).observe(view, { childList: true })
  return view && Promise.race([new Promise(shown), hurried, nullAfter(LONGEST_FOR_LIST)])
}

async function connect() {
  await painted()
  await listed()
  const { initializeB24Frame } = await import('./sdk.js')
  return initializeB24Frame()
}

let connection = null

export async function portal() {
  if (!inPortal()) return null
  connection ??= connect().catch(() => (connection = null))
  return Promise.race([connection, nullAfter(TIMEOUT)])
}

const framePost = (auth, more = {}) => ({
  AUTH_ID: auth.access_token,
  REFRESH_ID: auth.refresh_token,
  AUTH_EXPIRES: auth.expires_in,
  DOMAIN: window.name.split('|')[0],
  member_id: auth.member_id,
  ...more,
})

// Fresh tokens of the current user, in the form of a frame post; null when the portal gives none.
export async function freshTokens() {
  hurry()
  const b24 = await portal()
  const auth = b24 && (await b24.auth.refreshAuth().catch(() => null))
  return auth ? framePost(auth, { LANG: b24.getLang() }) : null
}

// Opens the app in this frame as the portal itself would, with the tokens it passed at the start.
export async function openApp() {
  const b24 = await portal()
  const auth = b24?.auth.getAuthData()
  if (!auth) return false
  const [domain, secure, sid] = window.name.split('|')
  const query = new URLSearchParams({ DOMAIN: domain, PROTOCOL: secure, LANG: b24.getLang(), APP_SID: sid })
  const form = document.createElement('form')
  Object.assign(form, { method: 'post', action: `/app?${query}`, hidden: true })
  for (const [name, value] of Object.entries(framePost(auth, { PLACEMENT: 'DEFAULT' }))) {
    form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }))
  }
  document.body.append(form)
  form.submit()
  return true
}

// Reloads the whole portal page, which opens the frame again with a new session.
export async function reopen() {
  const b24 = await portal()
  if (b24) await b24.parent.reloadWindow()
  else location.reload()
}
