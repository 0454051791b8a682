//! A graph of ONNX operators under construction.

use std::collections::HashMap;

use tch::{TchError, Tensor};

use super::proto::{
    AttributeProto, Dimension, DimensionProto, GraphProto, NodeProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};
use crate::tensor::{NamedTensor, f_floats};

/// A tensor of the graph, as a layer's input.
#[derive(Debug)]
pub(crate) struct Value {
    /// Its name in the graph.
    pub(crate) name: String,
    /// The tensor's value for two images of zeros, which shows its shape.
    pub(crate) example: Tensor,
}

impl Value {
    /// The shape, with 2 as the number of images.
    pub(crate) fn shape(&self) -> Vec<i64> {
        self.example.size()
    }
}

/// An attribute's value.
pub(crate) enum Attribute<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f64),
    Text(&'a str),
}

/// An attribute's name and value.
pub(crate) type NamedAttribute<'a> = (&'a str, Attribute<'a>);

/// The operations so far, in execution order.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// The names of the network's tensors, by their data's address.
    names: HashMap<usize, String>,
}

impl Graph {
    /// An empty graph that knows the state-dict names of the network's tensors.
    pub(crate) fn new<'a>(state: impl Iterator<Item = &'a NamedTensor>) -> Self {
        let names = state.map(|t| (t.tensor.data_ptr() as usize, t.name.clone()));
        Self { names: names.collect(), ..Self::default() }
    }

    /// Adds an operation and returns its output's name.
    pub(crate) fn op(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[NamedAttribute],
    ) -> String {
        let name = format!("{operator}_{}", self.nodes.len());
        self.named_op(operator, inputs, attributes, &name);
        name
    }

    /// Adds an operation whose output has this name.
    pub(crate) fn named_op(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[NamedAttribute],
        output: &str,
    ) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("{operator}_{}", self.nodes.len()),
            op_type: operator.to_owned(),
            attribute: attributes.iter().map(attribute).collect(),
        });
    }

    /// Adds a float32 constant. `tensor` may be on any device.
    pub(crate) fn tensor(&mut self, tensor: &Tensor) -> Result<String, TchError> {
        let name = match self.names.get(&(tensor.data_ptr() as usize)) {
            Some(name) => name.clone(),
            None => format!("constant_{}", self.constants.len()),
        };
        if self.constants.iter().any(|constant| constant.name == name) {
            return Ok(name);
        }
        let values = f_floats(tensor)?;
        self.constants.push(TensorProto {
            dims: tensor.size(),
            data_type: data_type::FLOAT,
            name: name.clone(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        });
        Ok(name)
    }

    /// Adds a constant: a single float32.
    pub(crate) fn number(&mut self, value: f64) -> String {
        let bytes = (value as f32).to_le_bytes().to_vec();
        self.constant(Vec::new(), data_type::FLOAT, bytes)
    }

    /// Adds a constant: a list of int64, such as a shape.
    pub(crate) fn ints(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(vec![values.len() as i64], data_type::INT64, bytes)
    }

    /// Adds a constant: a single int64, such as an index.
    pub(crate) fn int(&mut self, value: i64) -> String {
        self.constant(Vec::new(), data_type::INT64, value.to_le_bytes().to_vec())
    }

    fn constant(&mut self, dims: Vec<i64>, data_type: i32, raw_data: Vec<u8>) -> String {
        let name = format!("constant_{}", self.constants.len());
        self.constants.push(TensorProto {
            dims,
            data_type,
            name: name.clone(),
            raw_data,
        });
        name
    }

    /// Reshapes `x`. A size of 0 keeps the dimension's size, and -1 is inferred.
    pub(crate) fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let shape = self.ints(shape);
        self.op("Reshape", &[x, &shape], &[])
    }

    /// Permutes the dimensions of `x`.
    pub(crate) fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.op("Transpose", &[x], &[("perm", Attribute::Ints(order))])
    }

    /// `x` times the transposed `weight`, `[out, in]`, plus `bias`: torch.nn.Linear for
    /// any number of dimensions.
    pub(crate) fn linear(
        &mut self,
        x: &str,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<String, TchError> {
        // A weight keeps its name and layout. Runtimes fold the transposition.
        let weight = self.tensor(weight)?;
        let columns = self.transpose(&weight, &[1, 0]);
        let product = self.op("MatMul", &[x, &columns], &[]);
        match bias {
            None => Ok(product),
            Some(bias) => {
                let bias = self.tensor(bias)?;
                Ok(self.op("Add", &[&product, &bias], &[]))
            }
        }
    }

    /// Finishes the graph.
    pub(crate) fn finish(
        self,
        name: &str,
        input: ValueInfoProto,
        output: ValueInfoProto,
    ) -> GraphProto {
        GraphProto {
            node: self.nodes,
            name: name.to_owned(),
            initializer: self.constants,
            input: vec![input],
            output: vec![output],
        }
    }
}

fn attribute((name, value): &NamedAttribute) -> AttributeProto {
    let empty = AttributeProto { name: (*name).to_owned(), ..AttributeProto::default() };
    match value {
        Attribute::Int(i) => {
            AttributeProto { i: Some(*i), kind: AttributeProto::INT, ..empty }
        }
        Attribute::Ints(ints) => {
            AttributeProto { ints: ints.to_vec(), kind: AttributeProto::INTS, ..empty }
        }
        Attribute::Float(f) => {
            AttributeProto { f: Some(*f as f32), kind: AttributeProto::FLOAT, ..empty }
        }
        Attribute::Text(text) => AttributeProto {
            s: Some(text.as_bytes().to_vec()),
            kind: AttributeProto::STRING,
            ..empty
        },
    }
}

/// An input or output of the graph. Its first dimension is the number of images, `N`.
pub(crate) fn value_info(name: &str, elem_type: i32, of_one: &[i64]) -> ValueInfoProto {
    let mut dimensions = vec![Dimension::Name("N".to_owned())];
    dimensions.extend(of_one.iter().map(|&size| Dimension::Size(size)));
    let dim = dimensions.into_iter().map(|d| DimensionProto { value: Some(d) }).collect();
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}
