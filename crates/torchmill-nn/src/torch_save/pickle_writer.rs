//! The pickle in a `torch.save` file: protocol 2 of Python's pickle, with only the
//! opcodes that a state dict needs. Their names are those of Python's pickletools.

/// A pickle of an OrderedDict of tensors, up to the current item.
pub(super) struct PickleWriter {
    bytes: Vec<u8>,
}

impl PickleWriter {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0x80, 2] }
    }

    /// Starts the dict. Its keys and values follow, alternating.
    pub(super) fn begin_dict(&mut self) {
        self.empty_dict();
        self.bytes.push(b'(');
    }

    /// Ends the dict and the pickle.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // SETITEMS, STOP
        self.bytes.extend(b"u.");
        self.bytes
    }

    /// A string.
    pub(super) fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    /// A tensor that fills the storage `key` of this class, in row-major order:
    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`.
    pub(super) fn tensor(&mut self, class: &str, key: usize, shape: &[i64]) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.bytes.push(b'(');
        self.storage(class, key, shape.iter().product());
        self.int(0);
        self.ints(shape);
        self.ints(&strides(shape));
        // NEWFALSE
        self.bytes.push(0x89);
        self.empty_dict();
        // TUPLE, REDUCE
        self.bytes.extend(b"tR");
    }

    /// `("storage", class, key, "cpu", count)` as a persistent id.
    fn storage(&mut self, class: &str, key: usize, count: i64) {
        self.bytes.push(b'(');
        self.text("storage");
        self.global("torch", class);
        self.text(&key.to_string());
        self.text("cpu");
        self.int(count);
        // TUPLE, BINPERSID
        self.bytes.extend(b"tQ");
    }

    fn empty_dict(&mut self) {
        self.global("collections", "OrderedDict");
        // EMPTY_TUPLE, REDUCE
        self.bytes.extend(b")R");
    }

    fn global(&mut self, module: &str, name: &str) {
        self.bytes.extend(format!("c{module}\n{name}\n").as_bytes());
    }

    fn ints(&mut self, values: &[i64]) {
        self.bytes.push(b'(');
        for &value in values {
            self.int(value);
        }
        self.bytes.push(b't');
    }

    /// An integer of up to 8 bytes (LONG1), or up to 4 (BININT).
    fn int(&mut self, value: i64) {
        if let Ok(short) = i32::try_from(value) {
            self.bytes.push(b'J');
            self.bytes.extend(short.to_le_bytes());
        } else {
            self.bytes.extend([0x8a, 8]);
            self.bytes.extend(value.to_le_bytes());
        }
    }
}

/// The stride of each dimension in elements, in row-major order.
fn strides(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i].max(1);
    }
    strides
}
