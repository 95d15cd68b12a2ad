// The session token lives in this page only: no cookie, no storage. Every request carries it, and any answer may bring
// a new one.
import { meta } from './dom.js'

export function storeToken(token) {
  if (token) meta('session-token').content = token
}

export async function send(url, request) {
  const headers = { ...request.headers, Authorization: `Bearer ${meta('session-token').content}` }
  const answer = await fetch(url, { ...request, headers })
  storeToken(answer.headers.get('Session-Token'))
  return answer
}
