// The Bitrix24 window around the app, through the official SDK. The SDK is a bundle of its own that is fetched after
// the first paint. Everything here gives null when there is no portal or it keeps silent: the page works without it.
const LIMIT = 5000 // the SDK itself waits for ever

const inPortal = () => window.parent !== window && window.name.split('|').length === 3
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms, null))
const painted = () => Promise.race([new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))), later(500)])

async function connect() {
  await painted()
  const { initializeB24Frame } = await import('./sdk.js')
  return initializeB24Frame()
}

let connection = null

export async function portal() {
  if (!inPortal()) return null
  connection ??= connect().catch(() => (connection = null))
  return Promise.race([connection, later(LIMIT)])
}

const asPost = (auth, more = {}) => ({
  AUTH_ID: auth.access_token,
  REFRESH_ID: auth.refresh_token,
  AUTH_EXPIRES: auth.expires_in,
  DOMAIN: window.name.split('|')[0],
  member_id: auth.member_id,
  ...more,
})

// Fresh tokens of the person in front of the screen, as a frame post carries them; null when the portal gives none.
export async function freshTokens() {
  const b24 = await portal()
  const auth = b24 && (await b24.auth.refreshAuth().catch(() => null))
  return auth ? asPost(auth) : null
}

// Opens the app in this frame as the portal itself would, with the tokens it gave at the start.
export async function openApp() {
  const b24 = await portal()
  const auth = b24?.auth.getAuthData()
  if (!auth) return false
  const [domain, secure, sid] = window.name.split('|')
  const query = new URLSearchParams({ DOMAIN: domain, PROTOCOL: secure, LANG: b24.getLang(), APP_SID: sid })
  const form = document.createElement('form')
  Object.assign(form, { method: 'post', action: `/app?${query}`, hidden: true })
  for (const [name, value] of Object.entries(asPost(auth, { PLACEMENT: 'DEFAULT' }))) {
    form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }))
  }
  document.body.append(form)
  form.submit()
  return true
}

// The whole portal page once more: it opens the frame anew, with a new session.
export async function reopen() {
  const b24 = await portal()
  if (b24) await b24.parent.reloadWindow()
  else location.reload()
}
