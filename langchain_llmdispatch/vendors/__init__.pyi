from langchain_llmdispatch.vendors.builtin import HOSTED as HOSTED
from langchain_llmdispatch.vendors.builtin import VENDORS as VENDORS
from langchain_llmdispatch.vendors.builtin import builtin_vendors as builtin_vendors
