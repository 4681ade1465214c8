// The mesh of `cargo xtask bench sim` in ns-3: lr-wpan with CSMA-CA and acknowledgements, 6LoWPAN, IPv6,
// static routes; no security, no routing protocol. The same places, strengths and times are in
// crates/bench/src/sim/scenario.rs.
//
//   blocks NODES  prints a line of JSON: the processor seconds of all of it, peak octets of memory above those
//                 at the start, datagrams that were due and that arrived, hops of the latter on average

#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/lr-wpan-module.h"
#include "ns3/mobility-module.h"
#include "ns3/propagation-module.h"
#include "ns3/sixlowpan-module.h"
#include "ns3/spectrum-module.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <sys/resource.h>
#include <time.h>

using namespace ns3;

namespace
{

const uint32_t kSide = 5;
const uint32_t kBlock = kSide * kSide;
const double kSpacingMetres = 10;
// Between the corners of two blocks: far out of reach.
const double kBlockPitchMetres = 100;
const double kExponent = 3;
const double kLossAtOneMetreDb = 40;
// 70 dB at 10 m, 74.5 dB across a square: only the nodes beside, above and below are in reach.
const double kLossMaxDb = 72;

const uint32_t kPayloadOctets = 60;
const uint32_t kDatagramsEach = 53;
const uint16_t kPort = 61631;
const uint8_t kHopLimit = 64;
const Time kFirst = Seconds(60);
const Time kPeriod = Seconds(10);
const Time kEnd = Seconds(600);

uint64_t due = 0;
std::set<uint64_t> delivered;
uint64_t hops = 0;

// Each datagram carries its number: a copy is not another one.
void
Receive(Ptr<Socket> socket)
{
    while (Ptr<Packet> packet = socket->Recv())
    {
        SocketIpv6HopLimitTag tag;
        uint64_t number;
        if (packet->GetSize() == kPayloadOctets && packet->PeekPacketTag(tag) &&
            packet->CopyData(reinterpret_cast<uint8_t*>(&number), sizeof number) == sizeof number &&
            delivered.insert(number).second)
        {
            // A router counts down; the last hop leads to the sink itself.
            hops += kHopLimit - tag.GetHopLimit() + 1;
        }
    }
}

void
Send(Ptr<Socket> socket, uint32_t left)
{
    uint8_t payload[kPayloadOctets] = {};
    std::memcpy(payload, &due, sizeof due);
    due++;
    socket->Send(Create<Packet>(payload, kPayloadOctets));
    if (left > 1)
    {
        Simulator::Schedule(kPeriod, &Send, socket, left - 1);
    }
}

// The corner is the sink; every other node leads to the one on its left, in the first column to the one
// below.
uint32_t
Parent(uint32_t place)
{
    return place % kSide != 0 ? place - 1 : place - kSide;
}

Ptr<Socket>
Bound(Ptr<Node> node, Ipv6Address address)
{
    Ptr<Socket> socket = Socket::CreateSocket(node, UdpSocketFactory::GetTypeId());
    socket->Bind(Inet6SocketAddress(address, kPort));
    return socket;
}

void
Block(uint32_t block, NodeContainer nodes, LrWpanHelper& radio, Ptr<UniformRandomVariable> chance)
{
    NetDeviceContainer radios = radio.Install(nodes);
    radio.AssociateToPan(radios, block + 1);
    SixLowPanHelper adaptation;
    NetDeviceContainer devices = adaptation.Install(radios);

    char prefix[32];
    std::snprintf(prefix, sizeof prefix, "fd00:0:0:%x::", block + 1);
    // As in our mesh, the prefix is a context of the compression.
    adaptation.AddContext(devices, 0, Ipv6Prefix(prefix, 64), Time::Max());
    Ipv6AddressHelper addresses;
    addresses.SetBase(Ipv6Address(prefix), Ipv6Prefix(64));
    Ipv6InterfaceContainer interfaces = addresses.Assign(devices);
    for (uint32_t place = 0; place < kBlock; place++)
    {
        interfaces.SetForwarding(place, true);
        Ptr<Socket> socket = Bound(nodes.Get(place), interfaces.GetAddress(place, 1));
        if (place == 0)
        {
            socket->SetIpv6RecvHopLimit(true);
            socket->SetRecvCallback(MakeCallback(&Receive));
            continue;
        }
        Ptr<Ipv6StaticRouting> routes =
            Ipv6StaticRoutingHelper().GetStaticRouting(nodes.Get(place)->GetObject<Ipv6>());
        // Without this all of the prefix would be thought in reach.
        Ipv6Address sinkAddress = interfaces.GetAddress(0, 1);
        routes->AddHostRouteTo(sinkAddress,
                               interfaces.GetAddress(Parent(place), 0),
                               interfaces.GetInterfaceIndex(place));
        socket->SetIpv6HopLimit(kHopLimit);
        socket->Connect(Inet6SocketAddress(sinkAddress, kPort));
        Simulator::Schedule(kFirst + kPeriod * chance->GetValue(), &Send, socket, kDatagramsEach);
    }
}

long
PeakKib()
{
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

} // namespace

int
main(int argc, char** argv)
{
    const uint32_t nodes = argc == 2 ? std::atoi(argv[1]) : 0;
    if (nodes == 0 || nodes % kBlock != 0)
    {
        std::fprintf(stderr, "usage: blocks NODES, a multiple of %u\n", kBlock);
        return 2;
    }
    const long before = PeakKib();
    // All of a mesh is one interface: a router would tell every sender of a shorter way that there is not.
    Config::SetDefault("ns3::Ipv6L3Protocol::SendIcmpv6Redirect", BooleanValue(false));
    // A neighbour that was found once is not asked again.
    Config::SetDefault("ns3::Icmpv6L4Protocol::ReachableTime", TimeValue(Hours(1)));

    Ptr<SingleModelSpectrumChannel> channel = CreateObject<SingleModelSpectrumChannel>();
    channel->SetAttribute("MaxLossDb", DoubleValue(kLossMaxDb));
    Ptr<LogDistancePropagationLossModel> loss = CreateObject<LogDistancePropagationLossModel>();
    loss->SetPathLossExponent(kExponent);
    loss->SetReference(1, kLossAtOneMetreDb);
    channel->AddPropagationLossModel(loss);
    channel->SetPropagationDelayModel(CreateObject<ConstantSpeedPropagationDelayModel>());
    LrWpanHelper radio;
    radio.SetChannel(channel);

    NodeContainer all;
    all.Create(nodes);
    const uint32_t blocks = nodes / kBlock;
    const uint32_t wide = static_cast<uint32_t>(std::ceil(std::sqrt(blocks)));
    Ptr<ListPositionAllocator> places = CreateObject<ListPositionAllocator>();
    for (uint32_t node = 0; node < nodes; node++)
    {
        const uint32_t block = node / kBlock;
        const uint32_t place = node % kBlock;
        places->Add(Vector(block % wide * kBlockPitchMetres + place % kSide * kSpacingMetres,
                           block / wide * kBlockPitchMetres + place / kSide * kSpacingMetres,
                           0));
    }
    MobilityHelper mobility;
    mobility.SetMobilityModel("ns3::ConstantPositionMobilityModel");
    mobility.SetPositionAllocator(places);
    mobility.Install(all);
    InternetStackHelper internet;
    internet.SetIpv4StackInstall(false);
    internet.Install(all);

    Ptr<UniformRandomVariable> chance = CreateObject<UniformRandomVariable>();
    for (uint32_t block = 0; block < blocks; block++)
    {
        NodeContainer members;
        for (uint32_t place = 0; place < kBlock; place++)
        {
            members.Add(all.Get(block * kBlock + place));
        }
        Block(block, members, radio, chance);
    }
    Simulator::Stop(kEnd);
    Simulator::Run();
    Simulator::Destroy();

    timespec processor;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &processor);
    std::printf("{\"processor_seconds\":%.6f,\"octets\":%ld,\"due\":%lu,\"delivered\":%lu,\"hops\":%.3f}\n",
                processor.tv_sec + processor.tv_nsec / 1e9,
                (PeakKib() - before) * 1024,
                due,
                delivered.size(),
                delivered.empty() ? 0 : static_cast<double>(hops) / delivered.size());
    return 0;
}
