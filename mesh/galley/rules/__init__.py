"""What must hold between fields, a file a kind. Istio: pkg/config/validation.

A rule tells problems with their paths and never stops at the first. Warnings carry a code.
"""

from collections.abc import Iterator

from pydantic import BaseModel

from mesh.galley.models.destination_rule import DestinationRuleSpec
from mesh.galley.models.gateway import GatewaySpec
from mesh.galley.models.service import ServiceSpec
from mesh.galley.models.service_entry import ServiceEntrySpec
from mesh.galley.models.virtual_service import VirtualServiceSpec
from mesh.galley.rules.destination_rule import destination_rule_problems
from mesh.galley.rules.gateway import gateway_problems
from mesh.galley.rules.service import service_problems
from mesh.galley.rules.service_entry import service_entry_problems
from mesh.galley.rules.virtual_service import virtual_service_problems
from mesh.galley.schema import Problem


def rules_for(spec: BaseModel) -> Iterator[Problem]:
    match spec:
        case VirtualServiceSpec():
            return virtual_service_problems(spec)
        case DestinationRuleSpec():
            return destination_rule_problems(spec)
        case ServiceEntrySpec():
            return service_entry_problems(spec)
        case GatewaySpec():
            return gateway_problems(spec)
        case ServiceSpec():
            return service_problems(spec)
        case _:
            raise TypeError(f"no rules for {type(spec).__name__}")
