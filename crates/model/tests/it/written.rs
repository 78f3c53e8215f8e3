//! Small models written byte by byte: what no library would write.

/// Messages of a file.
#[derive(Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    pub(crate) fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.as_ref().len() as u64);
        self.0.extend(bytes.as_ref());
        self
    }

    pub(crate) fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }
}

/// A float input or output of a shape; none is any size.
pub(crate) fn value(name: &str, dims: &[Option<u64>]) -> Message {
    let dimension = |dim: &Option<u64>| match dim {
        Some(size) => Message::default().number(1, *size),
        None => Message::default(),
    };
    let shape = dims.iter().fold(Message::default(), |shape, dim| {
        shape.message(1, &dimension(dim))
    });
    let tensor = Message::default().number(1, 1).message(2, &shape);
    let of_type = Message::default().message(1, &tensor);
    Message::default().bytes(1, name).message(2, &of_type)
}

/// A float constant of a shape.
pub(crate) fn tensor(name: &str, dims: &[u64], elements: usize) -> Message {
    let shape = dims.iter().fold(Message::default(), |m, d| m.number(1, *d));
    let raw = vec![0u8; elements * 4];
    shape.number(2, 1).bytes(8, name).bytes(9, raw)
}

/// A node with integers as attributes.
pub(crate) fn node(
    operator: &str,
    domain: &str,
    inputs: &[&str],
    attributes: &[(&str, &[u64])],
) -> Message {
    let node = inputs.iter().fold(Message::default(), |m, i| m.bytes(1, i));
    let node = node.bytes(2, "y").bytes(4, operator).bytes(7, domain);
    attributes.iter().fold(node, |node, (name, values)| {
        let attribute = Message::default().bytes(1, name);
        node.message(
            5,
            &match values {
                [one] => attribute.number(20, 2).number(3, *one),
                many => many
                    .iter()
                    .fold(attribute.number(20, 7), |m, v| m.number(8, *v)),
            },
        )
    })
}

/// A model of a graph's fields, with the output `y`.
pub(crate) fn model(opset: u64, graph: Message) -> Vec<u8> {
    let set = |domain: &str, version| Message::default().bytes(1, domain).number(2, version);
    let graph = graph.message(12, &Message::default().bytes(1, "y"));
    let model = Message::default()
        .message(8, &set("", opset))
        .message(8, &set("ai.onnx.ml", 3))
        .message(7, &graph);
    model.0
}
