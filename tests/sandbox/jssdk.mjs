// Real work with @bitrix24/b24jssdk in Node against the stand-in; what came of it is printed as one JSON line.
// The address of the control API comes as the argument; the authority to trust in NODE_EXTRA_CA_CERTS.
import { B24Hook, B24OAuth } from '@bitrix24/b24jssdk'

const control = process.argv[2]
const ask = async (path, body) => (await fetch(control + path, body && { method: 'POST', body: JSON.stringify(body) })).json()
const about = await ask('/')
const portal = about.portals[0]
const tokens = await ask('/tokens', { portal: 0, user: 1 })

const b24 = new B24OAuth(
  {
    applicationToken: '', userId: 1, memberId: portal.member_id, accessToken: tokens.access_token, refreshToken: tokens.refresh_token,
    expires: Math.floor(Date.now() / 1000) + tokens.expires_in, expiresIn: tokens.expires_in, scope: 'landing', domain: portal.domain,
    clientEndpoint: `${portal.url}/rest/`, serverEndpoint: `${about.oauth}/rest/`, status: 'F',
  },
  { clientId: about.client_id, clientSecret: about.client_secret },
)
b24.offClientSideWarning()
let renewals = 0
b24.setCallbackRefreshAuth(async () => { renewals += 1 })
const call = (method, params = {}) => b24.actions.v2.call.make({ method, params })
const said = {}

await b24.initIsAdmin()
said.admin = b24.auth.isAdmin
said.pages = (await call('landing.landing.getList', { params: { select: ['ID'], filter: { SITE_ID: 3 }, order: { ID: 'ASC' } } })).getData().result.length
said.down = (await call('landing.landing.unpublic', { lid: 351 })).getData().result

await ask('/expire', { portal: 0, user: 1 })
said.renewed = (await call('profile')).getData().result.ID
said.renewals = renewals

const chunks = await b24.actions.v2.batchByChunk.make({
  calls: Array.from({ length: 60 }, () => ['landing.landing.publication', { lid: 351 }]),
  options: { isHaltOnError: true },
})
said.batched = chunks.getData().length

await ask('/users', { portal: 0, n: 70 })
await ask('/scope', { portal: 0, scopes: ['landing', 'user_brief'] })
await b24.auth.refreshAuth()
const people = await b24.actions.v2.callList.make({ method: 'user.get', idKey: 'ID' })
said.people = people.isSuccess ? people.getData().length : people.getErrorMessages()

await ask('/scope', { portal: 0, scopes: [] })
try {
  const refused = await call('landing.site.getList')
  said.refused = [...refused.getErrors()].map((error) => [error.code, error.status])
} catch (error) {
  said.refused = [[error.code, error.status]]
}

const [user, secret] = portal.webhook.split('/rest/')[1].split('/')
const hook = new B24Hook({ b24Url: portal.url, userId: Number(user), secret })
hook.offClientSideWarning()
said.hook = (await hook.actions.v2.call.make({ method: 'profile' })).getData().result.ID

console.log(JSON.stringify(said))
process.exit(0)
