//! Shared data: key to value and compare-and-swap number, one store for all VMs with the same `vm_id`.

use std::collections::BTreeMap;

use crate::abi::Status;

/// The shared data of one `vm_id`.
#[derive(Debug, Default)]
pub(crate) struct SharedData {
    values: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    last_cas: u32,
}

impl SharedData {
    pub(crate) fn get(&self, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        self.values.get(key).cloned().ok_or(Status::NotFound)
    }

    /// `cas` 0 writes in any case. A number given for a key that is not there is accepted too, as in Envoy.
    pub(crate) fn set(&mut self, key: &[u8], value: Vec<u8>, cas: u32) -> Result<(), Status> {
        if let Some((_, current)) = self.values.get(key)
            && cas != 0
            && cas != *current
        {
            return Err(Status::CasMismatch);
        }
        // 0 means "no number" to the ABI, so it is never given out.
        self.last_cas = self.last_cas.checked_add(1).unwrap_or(1);
        self.values.insert(key.to_vec(), (value, self.last_cas));
        Ok(())
    }
}
