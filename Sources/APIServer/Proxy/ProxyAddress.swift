// Where a server lets itself be sent by what objects say of themselves (CVE-2022-3294).
import Schema

/// Addresses that no proxy request reaches: a node or pod object may claim any address, and a server must not lend its
/// own place in the network to whoever can write one.
public enum ProxyAddress {
  /// Throws 400 unless the address is one that other machines have. Host names are nobody's: nothing here resolves them,
  /// so nothing can resolve to another address a moment later.
  public static func check(_ host: String) throws(APIStatus) {
    guard let address = IPAddress(host), isForeign(address) else { throw .badRequest("address not allowed") }
  }

  /// Unicast beyond this machine and this link.
  static func isForeign(_ address: IPAddress) -> Bool {
    let isBroadcast = address.family == .v4 && address.number == UInt128(UInt32.max)
    return !address.isLoopback && !address.isLinkLocal && !address.isMulticast && address.number != 0 && !isBroadcast
  }
}
