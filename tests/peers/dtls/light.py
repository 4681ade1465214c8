"""A CoAP server over DTLS, of aiocoap and DTLSSocket: a peer of `cargo xtask interop`. Argument: the port of coaps. GET
/light gives "on"."""

import asyncio
import sys

import aiocoap
import aiocoap.resource


class Light(aiocoap.resource.Resource):
    async def render_get(self, request):
        return aiocoap.Message(payload=b"on")


async def main(port):
    site = aiocoap.resource.Site()
    site.add_resource(["light"], Light())
    # It adds the distance of coaps from coap.
    server = await aiocoap.Context.create_server_context(
        site, bind=("127.0.0.1", port - 1), transports=["tinydtls_server"]
    )
    device = {"psk": {"ascii": "0123456789abcdef"}, "client-identity": {"ascii": "device-1"}}
    server.server_credentials.load_from_dict({":device": {"dtls": device}})
    print("ready", flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main(int(sys.argv[1])))
