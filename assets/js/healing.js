// When a session or a token has ended, the portal is asked for fresh tokens, they are exchanged for a new session, and
// the very request is sent once more. The person sees nothing of it; only when this fails does the 401 reach the page.
import { freshTokens } from './portal.js'
import { renew, send } from './session.js'

let healed = 0
let healing = null // one at a time: requests that fail together wait for the same answer

const heal = () => (healing ??= refresh().catch(() => false).finally(() => (healing = null)))

async function refresh() {
  const tokens = await freshTokens()
  if (!tokens) return false
  const body = new URLSearchParams(tokens)
  const answer = await fetch('/session', { method: 'POST', headers: { Accept: 'application/json' }, body })
  if (!answer.ok) return false
  renew((await answer.json()).session_token)
  healed += 1
  return true
}

async function sendTwice(url, request) {
  const before = healed
  const answer = await send(url, request)
  if (answer.status !== 401) return answer
  return healed !== before || (await heal()) ? send(url, request) : answer
}

// No answer at all becomes an empty 504, so that the page has one way to say that the server did not answer. A request
// that was replaced by a newer one stays what it is.
export async function sendHealing(url, request) {
  try {
    return await sendTwice(url, request)
  } catch (error) {
    if (request.signal?.aborted && request.signal.reason !== 'timeout') throw error
    return new Response(null, { status: 504 })
  }
}

document.addEventListener('htmx:config:request', ({ detail: { ctx } }) => {
  ctx.fetch = sendHealing
})
