// A client of the official TypeScript libraries that does everything once and prints what it saw as JSON.
// `client.mjs sdk|legacy|auto COMMAND ARGS…`: sdk is @modelcontextprotocol/sdk, the others @modelcontextprotocol/client.
// Run from the folder of packages that `make mcp-clients` makes.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const [mode, command, ...args] = process.argv.slice(2);
const require = createRequire(path.join(process.cwd(), "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

const old = mode === "sdk";
const found = await load(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client");
const { StdioClientTransport } = await load(old ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio");
const Client = found.Client ?? found.default.Client;

const asked = [];
const options = { capabilities: { elicitation: { form: {} } } };
if (!old) options.versionNegotiation = { mode };
const client = new Client({ name: "judge-client", version: "1.0" }, options);
const elicit = async (request) => {
  asked.push(request.params.message);
  const names = Object.keys(request.params.requestedSchema?.properties ?? {});
  return { action: "accept", content: names.includes("answer") ? { answer: "approve" } : { name: "Ann" } };
};
if (old) client.setRequestHandler((await load("@modelcontextprotocol/sdk/types.js")).ElicitRequestSchema, elicit);
else client.setRequestHandler("elicitation/create", elicit);

const call = async (name, given, more) => {
  try {
    return old
      ? await client.callTool({ name, arguments: given }, undefined, more)
      : await client.callTool({ name, arguments: given }, more);
  } catch (error) {
    return `${error.name} ${error.message}`;
  }
};

await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: "ignore" }));
const seen = { server: client.getServerVersion(), capabilities: client.getServerCapabilities() };
seen.instructions = client.getInstructions();
seen.version = client.getNegotiatedProtocolVersion?.() ?? client.transport?._protocolVersion ?? null;
seen.tools = await client.listTools();
seen.echo = await call("echo", { text: "grüße \u2028 \u{1f600}" });
seen.weather = await call("weather", { place: "Rome" });
seen.fail = await call("fail", {});
seen.wrong = await call("echo", { txt: 1 });
const steps = [];
seen.slow = await call("slow", { steps: 3 }, { onprogress: (step) => steps.push(step) });
seen.steps = steps;
seen.greet = await call("greet", {});
seen.many = await Promise.all(Array.from({ length: 20 }, (_, number) => call("echo", { text: String(number) })));
const stopping = new AbortController();
setTimeout(() => stopping.abort(), 200);
seen.cancelled = typeof (await call("sleep", {}, { signal: stopping.signal })) === "string";
seen.after = await call("echo", { text: "after" });
seen.resources = await client.listResources();
seen.resource = await client.readResource({ uri: "note://one" });
seen.prompts = await client.listPrompts();
seen.prompt = await client.getPrompt({ name: "ask", arguments: { topic: "cats" } });
seen.missing = await client.readResource({ uri: "note://two" }).catch((error) => `${error.name} ${error.message}`);
seen.asked = asked;
await client.close();
console.log(JSON.stringify(seen, null, 1));
