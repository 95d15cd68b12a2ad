// Refreshes an ended session. When a request is answered 401, the portal is asked for fresh tokens, they are exchanged
// for a new session, and the same request is sent once more. The page sees a 401 only if the refresh itself fails.
import { freshTokens } from './portal.js'
import { send, storeToken } from './session.js'

let refreshes = 0
let refreshing = null // one refresh at a time: requests that fail together wait for the same one

export const refreshSession = () => (refreshing ??= refresh().catch(() => false).finally(() => (refreshing = null)))

async function refresh() {
  const tokens = await freshTokens()
  if (!tokens) return false
  const body = new URLSearchParams(tokens)
  const answer = await fetch('/session', { method: 'POST', headers: { Accept: 'application/json' }, body })
  if (!answer.ok) return false
  storeToken((await answer.json()).session_token)
  refreshes += 1
  return true
}

async function sendAndRetry(url, request) {
  const before = refreshes
  const answer = await send(url, request)
  if (answer.status !== 401) return answer
  return refreshes !== before || (await refreshSession()) ? send(url, request) : answer
}

// A lost answer becomes an empty 504, so that the page has one way to say that the server did not answer. A request
// that was replaced by a newer one stays aborted.
export async function sendWithRefresh(url, request) {
  try {
    return await sendAndRetry(url, request)
  } catch (error) {
    if (request.signal?.aborted && request.signal.reason !== 'timeout') throw error
    return new Response(null, { status: 504 })
  }
}

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  ctx.fetch = sendWithRefresh
})
