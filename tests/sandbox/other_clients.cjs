// @2bad/bitrix against the stand-in: with a webhook it works, with a token it sends none. Prints what happened as JSON.
const [folder, control] = process.argv.slice(2)
const { Bitrix } = require(`${folder}/node_modules/@2bad/bitrix`)

const ask = async (path, body) => (await fetch(control + path, body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })).json()

async function deals(client) {
  const made = await client.deals.create({ TITLE: 'Oak' })
  const got = await client.deals.get(made.result)
  const all = await client.deals.list({ select: ['ID', 'TITLE'] })
  const batch = await client.batch({ a: { method: 'crm.deal.get', params: { id: String(made.result) } } })
  return [got.result.TITLE, all.total, batch.result.result.a.ID]
}

async function main() {
  const { portals } = await ask('/')
  const { access_token: token } = await ask('/tokens', { portal: 0, user: 'admin' })
  const hook = await deals(Bitrix(portals[0].webhook))
  const oauth = await deals(Bitrix(`${portals[0].url}/rest`, token)).catch((error) => error.message)
  console.log(JSON.stringify({ hook, oauth }))
}
main()
