"""RPCs: the server's door and channels to other services."""

from gyre_runtime.rpc.client import RECONNECTING, channel
from gyre_runtime.rpc.faults import RpcFault
from gyre_runtime.rpc.server import RpcServer
from gyre_runtime.rpc.tenant_keys import TenantKeys

__all__ = ["RECONNECTING", "RpcFault", "RpcServer", "TenantKeys", "channel"]
